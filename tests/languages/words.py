"""The words of the how-to pages for the steps in the console, in each language that they have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """``tag`` is the language; ``header`` what a browser of that language sends."""

    tag: str
    header: str
    datasets: str
    actions: str
    importing: str
    import_page: str
    project: str
    location: str
    advanced: str
    modify_path: str
    operations: str
    status: str
    overview: str
    operation_id: str
    view_details: str
    exporting: str
    export_page: str
    to_bucket: str
    export_settings: str
    dicom_file: str
    octets: str
    syntax: str


ENGLISH = Words(
    tag="en",
    header="en-GB,en",
    datasets="Datasets",
    actions="Actions",
    importing="Import",
    import_page="Import to DICOM store",
    project="Project",
    location="Location",
    advanced="Advanced options",
    modify_path="Modify Cloud Storage path",
    operations="Operations",
    status="Long-running operation status",
    overview="Overview",
    operation_id="Operation ID",
    view_details="View details",
    exporting="Export",
    export_page="Export DICOM store",
    to_bucket="Google Cloud Storage bucket",
    export_settings="DICOM export settings",
    dicom_file="DICOM file (.dcm)",
    octets="octet-stream",
    syntax="Transfer syntax",
)
PORTUGUESE = Words(
    tag="pt-BR",
    header="pt-BR,pt;q=0.9,en;q=0.8",
    datasets="Conjuntos de dados",
    actions="Ações",
    importing="Importar",
    import_page="Importar para armazenamento DICOM",
    project="Projeto",
    location="Local",
    advanced="Opções avançadas",
    modify_path="Modificar caminho do Cloud Storage",
    operations="Operações",
    status="Status da operação de longa duração",
    overview="Visão geral",
    operation_id="ID da operação",
    view_details="Ver detalhes",
    exporting="Exportar",
    export_page="Exportar armazenamento DICOM",
    to_bucket="Bucket do Google Cloud Storage",
    export_settings="Configurações de exportação DICOM",
    dicom_file="Arquivo DICOM (.dcm)",
    octets="octet-stream",
    syntax="Sintaxe de transferência",
)
# The French page tells nothing of how an operation is followed: those words are ours.
FRENCH = Words(
    tag="fr",
    header="fr-FR,fr;q=0.9",
    datasets="Ensembles de données",
    actions="Actions",
    importing="Importer",
    import_page="Importer dans le magasin DICOM",
    project="Projet",
    location="Emplacement",
    advanced="Options avancées",
    modify_path="Remplacer le chemin d'accès Cloud Storage",
    operations="Opérations",
    status="État de l'opération de longue durée",
    overview="Vue d'ensemble",
    operation_id="ID de l'opération",
    view_details="Afficher les détails",
    exporting="Exporter",
    export_page="Exporter un magasin DICOM",
    to_bucket="Bucket Google Cloud Storage",
    export_settings="Paramètres d'exportation DICOM",
    dicom_file="Fichier DICOM (.dcm)",
    octets="Octetstream",
    syntax="Syntaxe de transfert",
)
ALL = (ENGLISH, PORTUGUESE, FRENCH)
